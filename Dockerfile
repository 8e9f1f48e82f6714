# SPDX-License-Identifier: Apache-2.0
# The server and the command line tool:
#   docker build -t millrace . && docker run -p 127.0.0.1:50051:50051 millrace
# tests/packaging/dockerfile_in_chroot.py carries these very instructions out without an engine.

FROM debian:12 AS build
WORKDIR /src
COPY deploy/install_packages.sh deploy/
RUN deploy/install_packages.sh build
COPY . .
RUN cmake --preset release
RUN cmake --build --preset release
RUN cmake --install build/release --prefix /opt/millrace --component runtime --strip

FROM debian:12-slim
COPY deploy/install_packages.sh /tmp/
RUN /tmp/install_packages.sh runtime && rm -rf /tmp/install_packages.sh /var/lib/apt/lists/*
RUN useradd --uid 10001 --home-dir /var/lib/millrace --create-home \
            --shell /usr/sbin/nologin millrace
COPY --from=build /opt/millrace/ /usr/local/
USER millrace
WORKDIR /var/lib/millrace
ENV MILLRACE_ADDRESS=0.0.0.0:50051
ENV MILLRACE_METRICS_ADDRESS=0.0.0.0:9464
ENV MILLRACE_MODEL_DIR=/var/lib/millrace
VOLUME /var/lib/millrace
EXPOSE 50051 9464
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
            CMD ["millrace", "models", "--server", "127.0.0.1:50051"]
ENTRYPOINT ["millrace-server"]

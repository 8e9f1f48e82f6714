// SPDX-License-Identifier: Apache-2.0
// What the server asks of a connection, seen by a peer that speaks HTTP/2 by hand.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <string>

#include "gtest/gtest.h"
#include "tests/server/support/in_process_server.h"

namespace millrace {
namespace {

std::uint32_t BigEndian(const std::string& bytes) {
  std::uint32_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
  return value;
}

constexpr char kSettings = 4;
constexpr char kPing = 6;

struct Frame {
  char type = 0;
  std::string payload;
};

class Peer {
 public:
  explicit Peer(int port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval patience{.tv_sec = 30, .tv_usec = 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string("\0\0\0\4\0\0\0\0\0", 9));
  }
  ~Peer() { ::close(socket_); }

  // The next frame; none where the connection ends, or is silent for half a minute.
  std::optional<Frame> Receive() {
    const std::string header = Bytes(9);
    if (header.size() < 9) return std::nullopt;
    return Frame{header[3], Bytes(BigEndian(header.substr(0, 3)))};
  }
  void AnswerPing(const Frame& ping) { Send(std::string("\0\0\x8\6\1\0\0\0\0", 9) + ping.payload); }
  // Whether no frame came since the server closed the connection.
  bool ended() const { return ended_; }

 private:
  void Send(const std::string& bytes) const {
    EXPECT_EQ(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  std::string Bytes(std::size_t size) {
    std::string bytes(size, '\0');
    if (size == 0) return bytes;
    const ssize_t got = ::recv(socket_, bytes.data(), size, MSG_WAITALL);
    ended_ = got == 0 || (got < 0 && errno == ECONNRESET);
    bytes.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return bytes;
  }

  const int socket_;
  bool ended_ = false;
};

TEST(Connection, BoundsItsStreams) {
  InProcessServer server;
  Peer peer(server.server().port());
  const std::optional<Frame> first = peer.Receive();
  ASSERT_TRUE(first.has_value());
  ASSERT_EQ(first->type, kSettings);
  std::uint32_t streams = 0;
  for (std::size_t i = 0; i + 6 <= first->payload.size(); i += 6) {
    constexpr std::uint32_t kMaxConcurrentStreams = 3;
    if (BigEndian(first->payload.substr(i, 2)) == kMaxConcurrentStreams)
      streams = BigEndian(first->payload.substr(i + 2, 4));
  }
  EXPECT_EQ(streams, 1024U);
}

TEST(Connection, EndsWhenThePeerGivesNoMoreSignsOfLife) {
  InProcessServer server([](Config& config) {
    config.keepalive_time = absl::Milliseconds(200);
    config.keepalive_timeout = absl::Milliseconds(200);
  });
  Peer peer(server.server().port());
  EXPECT_TRUE(LogProb(server).ok());
  // Its kernel goes on acknowledging all the while.
  for (int pings = 0; pings < 4;) {
    const std::optional<Frame> frame = peer.Receive();
    ASSERT_TRUE(frame.has_value());
    if (frame->type != kPing) continue;
    peer.AnswerPing(*frame);
    ++pings;
  }
  while (peer.Receive()) {
  }
  EXPECT_TRUE(peer.ended());
  EXPECT_TRUE(LogProb(server).ok());
}

}  // namespace
}  // namespace millrace

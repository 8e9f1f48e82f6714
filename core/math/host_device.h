// SPDX-License-Identifier: Apache-2.0
// The one place that knows whether a formula is compiled for a GPU as well.
#ifndef MILLRACE_CORE_MATH_HOST_DEVICE_H_
#define MILLRACE_CORE_MATH_HOST_DEVICE_H_

#ifdef __CUDACC__
#define MILLRACE_HOST_DEVICE __host__ __device__
#else
#define MILLRACE_HOST_DEVICE
#endif

#endif  // MILLRACE_CORE_MATH_HOST_DEVICE_H_

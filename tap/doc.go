// Package tap opens one Ethernet device of the operating system (a TAP device),
// sets it up, and moves frames between it and the caller in batches. It does not
// know peers or datagrams.
//
// A Device has one or more queues. Each is for one goroutine that runs to
// completion: its ReadBatch and WriteBatch never block; the caller waits on the
// queue's descriptor (Linux) or channel (elsewhere), together with its other
// sources.
//
// On Linux the device can be a port of a bridge (Port), and Watch tells, and sets right
// where the user can want nothing else, what other programs do to either.
//
// Support by system:
//
//   - Linux: complete; every release is tested on it in network namespaces. The
//     native backend reads and writes super-frames of up to 64 KiB with vnet
//     headers (package offload) over several queues; it does without the parts
//     that the kernel refuses, step by step, and logs them. The water backend,
//     songgao/water, moves plain frames over one queue.
//   - Windows: through water and the TAP-Windows driver (tap0901, which OpenVPN
//     installs). The adapter's MAC is the driver's and cannot be changed here. It
//     builds; this project has not tested it yet.
//   - macOS: through water and the tuntaposx kernel extension, devices named tap0
//     to tap15 only. macOS itself has no TAP device, and recent releases no
//     longer load that extension. It builds, untested.
//   - FreeBSD, OpenBSD, NetBSD and the rest: Open fails and says so, since water
//     does not support their TAP devices.
//
// Water has traps, which this package closes: it leaves descriptors open across
// exec and after failed opens, cuts long names, clears the persist flag of a
// device that an administrator made, and would read super-frames without their
// headers from a device that another program left with offloads on. On Linux
// every open through it is therefore tried first on a descriptor of our own (see
// probe), and refusals become sentences (OpenError).
//
// No descriptor of the native backend is in the runtime's poller: every frame
// would wake a second thread there. The descriptor of water is, by its nature.
package tap

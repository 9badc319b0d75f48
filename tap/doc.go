// Package tap opens one Ethernet device of the operating system (a TAP device),
// sets it up, and moves frames between it and the caller in batches. It knows
// nothing of peers or datagrams.
//
// What works where:
//
//   - Linux: everything, and every release is tested on it in network
//     namespaces.
//   - Windows: through the TAP-Windows driver (tap0901, which OpenVPN
//     installs), one frame a call. The adapter's MAC is the driver's and cannot
//     be changed here. It builds; nobody has yet tested it for this project.
//   - macOS: through the tuntaposx kernel extension, one frame a call, devices
//     named tap0 to tap15 only. macOS itself has no TAP device, and recent
//     releases no longer load that extension. It builds, untested.
//   - FreeBSD, OpenBSD, NetBSD and the rest: Open fails and says so, since the
//     backend, songgao/water, does not know their TAP devices.
//
// The backend has traps, which this package closes: it leaves descriptors open
// across exec and after failed opens, cuts long names, and clears the persist
// flag of a device that an administrator made. On Linux every open is therefore
// tried first on a descriptor of our own (see probe), and refusals become
// sentences (OpenError).
package tap

// Package netwatch reports changes of this host's network: a default route leads
// elsewhere, or an address has come or gone. An edge then gathers its candidates
// anew and roams (NAT.md, section 1.5).
//
// On Linux the kernel sends an event (rtnetlink(7)); elsewhere, and where Linux
// does not let a process listen, the package polls the interfaces every 5 s. It
// never uses the content of an event: an event only makes the watcher read the
// state, and the watcher compares it with the previous state. So an event that
// is lost, doubled or forged changes nothing, and a change that is undone
// between two reads is not reported.
package netwatch

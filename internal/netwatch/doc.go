// Package netwatch tells when the network of this host has become another one:
// a default route leads elsewhere, or an address has come or gone. That is when
// an edge gathers its candidates anew and roams (NAT.md, section 1.5).
//
// On Linux the kernel says that something happened (rtnetlink(7)); elsewhere,
// and where Linux does not let a process listen, the interfaces are looked at
// every 5 s. What happened is never taken from the messages: they only make the
// watcher look, and it compares what it sees with what it saw before. So a
// message that is lost, doubled or forged changes nothing, and what comes and
// goes between two looks is not reported.
package netwatch

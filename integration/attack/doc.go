// Package attack shows, with the real commands in the namespaces of package
// lab, what somebody on the underlay can and cannot do: what a capture tells,
// what becomes of replayed, altered and invented datagrams, what strangers can
// make a process do, and what a person is told when something is wrong. It
// holds tests only.
package attack

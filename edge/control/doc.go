// Package control is the local interface of a running edge: the JSON
// documents that "edge status", "edge peers" and "edge keys" print, the HTTP
// handler that serves them, and the calls that fetch them.
//
// It travels over a Unix socket (package localapi) and never over a network
// port, because whoever may read it learns who talks to whom. The paths are
// versioned; fields are only ever added, never renamed, since operators write
// scripts against them.
//
//	GET  /api/v1/status   Status
//	GET  /api/v1/peers    []Peer
//	GET  /api/v1/keys     Keys
//	GET  /api/v1/counters Counters
//	GET  /debug/pprof/    profiles (net/http/pprof)
//	POST /api/v1/ping     PingRequest; answered with a Ping
//	POST /api/v1/reload   no body; 204 when the configuration was read anew
//
// Every number in a document was measured by the edge that serves it. What was
// not measured is absent: a pointer that is nil, or an empty string.
package control

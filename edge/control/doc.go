// Package control is what an edge says of itself, as plain values: the JSON
// documents that "edge status", "edge peers", "edge fdb", "edge routes", "edge keys",
// "edge counters", "edge ping" and "edge netcheck" print, and the events of its log. It
// is also the local interface of a running edge: the HTTP handler that serves those
// documents, and the calls that fetch them. It imports no part of the edge, so that
// others can read and show what an edge says.
//
// The interface travels over a Unix socket (package localapi) and never over a network
// port, because whoever may read it learns who talks to whom. The paths are
// versioned; fields are only ever added, never renamed, since operators write
// scripts against them.
//
//	GET  /api/v1/status   Status
//	GET  /api/v1/peers    []Peer
//	GET  /api/v1/fdb      FDB
//	GET  /api/v1/routes   Routes
//	GET  /api/v1/keys     Keys
//	GET  /api/v1/counters Counters
//	GET  /debug/pprof/    profiles (net/http/pprof)
//	POST /api/v1/ping     PingRequest; answered with a Ping
//	POST /api/v1/reload   no body; 204 when the configuration was read anew
//
// Every number in a document was measured by the edge that serves it. What was
// not measured is absent: a pointer that is nil, or an empty string.
package control

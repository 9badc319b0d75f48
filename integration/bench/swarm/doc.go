// Package swarm is many edges in one process, as far as a supernode sees them: each makes
// sessions, registers, pings, answers pings, obeys RESETs and relays, on the real wire and
// with the waits of the real edge, from an address of its own. So a supernode of which
// nothing else is known can be measured with as many edges as there is memory for.
//
// The supernode is on this host. The edges come from 127.0.0.0/8, two from each /24, since
// a supernode bounds what comes from one network; nothing leaves the host, and no rights
// are needed.
//
//	Swarm   all edges, and what is asked of them (swarm.go)
//	worker  a socket, and the one goroutine whose some of the edges are (worker.go)
//	edge    one of them (edge.go)
//	Flow    relayed packets of pairs of edges, and how long they take (flow.go)
//	Contest a pair of one community beside greedy ones of another (contest.go)
package swarm

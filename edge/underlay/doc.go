// Package underlay is what an edge knows of the network that carries its packets:
// under which addresses peers may reach it, who else is on the same LAN, what the
// router maps, which TURN servers relay, how the NATs give out ports, and which
// further sockets are open. It knows neither peers, sessions nor supernodes; the
// edge asks it, and is told of changes through Observer.
//
// An Underlay has one part for each of these. One goroutine, the control loop of
// the edge, calls all methods but those that say otherwise, and passes the time.
// What is to be done later is a timer of Config.Timers, which that loop runs after
// each event; what is put off to the end of an event is a timer that is due at
// once. What lasts runs in goroutines of Loop and comes back as a function
// that the loop calls.
//
//	STUN ──────┐                 ┌── NetworkWatch
//	port map ──┤                 ├── LANDiscovery
//	NAT64 ─────┤                 ├── PortSampler
//	TURN ──────┴─> Addresses     ├── Names
//	                             └── Sockets
package underlay

// Package fair shares what is full equally among groups, and what a group gets equally
// among its members: for a supernode a line or a processor, communities and their edges.
// Whoever wants less than an equal part gets all that it wants, and the others share the
// rest (max-min fairness).
//
// A Line is a virtual queue: nothing waits in it. What passes is counted as if it waited
// for its turn, that of each member for itself, and everybody's backlog shrinks at the rate
// that generalized processor sharing would serve it with (Parekh and Gallager, 1993). Who
// has more waiting than there is room for is refused. So packets are dropped and never
// delayed, they are dropped before they have cost anything, and one who sends little does
// not notice those who send much.
//
// A Loop is the Line of a loop that reads, handles and sends packets. It finds out by
// itself when the loop does not keep up, and how much it can do (an adaptive virtual queue,
// Kunniyur and Srikant, 2001).
//
//	Line    what is shared (line.go)
//	Group, Member
//	        whose backlog there is (line.go)
//	level   how much each of several gets (level.go)
//	Loop    a Line with a rate that it finds out (loop.go)
//
// All of it is a machine without a clock, a lock or a goroutine: times come as arguments,
// and it belongs to one goroutine.
package fair

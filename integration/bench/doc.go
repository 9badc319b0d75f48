// Command bench measures the whole product: the real commands, in network
// namespaces of this machine, beside what the kernel does without them. It
// needs root, and the commands in the folder that -bin names.
//
//	go run ./integration/bench -bin bin            (about 20 minutes)
//	go run ./integration/bench -bin bin -quick     (under two minutes, rough)
//	go run ./integration/bench -bin bin -order     (order within flows)
//	go run ./integration/bench -bin bin -loss 0.5,2,10
//	go run ./integration/bench -bin bin -idle
//	go run ./integration/bench -bin bin -supernode -edges 100000 -communities 1000
//	go run ./integration/bench -bin bin -fair
//
// It prints the ratios that the product promises, and then the figures as two
// Markdown tables. -json FILE writes every sample. It ends with 0 when
// everything could be measured (a promise that is missed is printed as such and
// is not a failure of the benchmark, except with -order), with 1 when
// something could not, and with 3 without the rights for namespaces.
//
// # Variants
//
// Two namespaces are joined by one veth pair of MTU 1500 with its offloads on;
// for relay three are joined in a line, and the middle one forwards nothing,
// so that the edges can meet in its supernode only. All of it, the generators
// included, shares two processors (-cpus). The variants are
//
//	veth    the cable itself
//	vxlan   the kernel's VXLAN over it, MTU 1450, not encrypted
//	v0      hedgerow as simple as can be: songgao/water, one frame per call
//	direct  hedgerow, native TAP, AES-256-GCM
//	water   the same with the water backend
//	chacha  the same as direct with ChaCha20-Poly1305
//	clear   the same as direct without encryption
//	relay   the same as direct through a supernode
//	flat1500, flat9000  direct with a device of that MTU, one stream only
//	lan1500, lan9000    the same between two hosts without hedgerow, each on a LAN of
//	                    that MTU which an edge joins (--bridge), offloads as they are
//
// Every round measures every variant once, each time in fresh namespaces with
// fresh processes, and begins with another variant. A ratio is taken within
// each round; what is printed is the median over the rounds, with the lowest
// and the highest. Other products are not measured.
//
// # Figures
//
//	one, four   TCP streams: writes of 128 KiB, reads of 256 KiB, after a
//	            warm-up, from A to B and then from B to A. The figure is the
//	            mean of the two directions. Four are measured half as long as
//	            one. CPU seconds per GB are those of the one stream: of the
//	            whole machine (/proc/stat without idle, iowait and steal), and
//	            of the edges and the supernode alone.
//	udp64       UDP datagrams of 64 bytes of payload (92 of IPv4, 106 of
//	            Ethernet), from A to B: the highest rate of which at most 0.01 %
//	            is lost over the whole length, found by bisection with short
//	            runs and lowered by 3 % until it holds. Then twice that rate is
//	            offered, and what is delivered is compared with it. A system
//	            call sends at most 64; a sender that fell behind makes up for
//	            it at twice the rate at most. The receiver's buffer is 8 MiB.
//	udp1200     the same with 1200 bytes of payload, a quarter as long.
//	ping        ICMP echo of 56 bytes every 5 ms on an idle path: p50 and p99.
//	load        the same every 10 ms beside one TCP stream at full speed. A
//	            ping that is not answered counts as one second.
//
// Resident memory (VmRSS, and its peak VmHWM) is read after all of that and is
// that of the larger edge.
//
// With -order the cables steer each flow to one processor (lab.Host.KeepOrder):
// a plain veth reorders by itself when the process that sends moves from one
// processor to another. With -loss the edges meet on the lab's internet, whose
// links carry single datagrams and whose router loses some in both directions.
//
// With -idle nothing is used, and what is counted is how often threads wake up, by their
// voluntary switches in /proc: of an edge without peers, of one with ten that it has direct
// paths to, and of a supernode with a hundred edges, each of which is a process. They are
// left alone for 100 s before, since the first keepalives are more frequent. It takes 3
// minutes and 2 GB.
//
// With -supernode nothing is compared: one supernode is measured on the loopback of this
// host, which needs no rights, with edges that are as much of an edge as a supernode sees
// (package swarm), all of them in this process and on the same processors. Half of the
// edges register, 256 at a time; the others at half of the rate that was found. Then
// 5000 packets of 512 bytes are relayed a second between four pairs, alone and while 1000
// edges make their next session at once, three times; a packet takes from before it is
// sent to when the kernel has it at the other socket (SO_TIMESTAMPNS), since this process
// reads it late. At last the supernode is killed and started again, and the time is taken
// until each edge is back, from when it listens. The memory is VmRSS when all are
// registered, less that of the empty supernode where it is divided by the edges.
//
// Generators are processes of their own, this program started again inside a
// namespace with one task: one per side, so that their memory and scheduling
// do not mix with the measurement's.
package main

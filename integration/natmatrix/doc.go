// Command natmatrix finds out between which NATs two edges reach each other
// directly: the real commands, in network namespaces of this machine. It needs
// root, and the commands in the folder that -bin names.
//
//	go run ./integration/natmatrix -bin bin                     (about an hour)
//	go run ./integration/natmatrix -bin bin -runs 3 -cells 'x seq'
//	go run ./integration/natmatrix -bin bin -list
//
// It prints a line for every cell and, with -markdown FILE, writes the table.
// -json FILE writes every run. It ends with 0 when every cell is as it must be,
// with 1 when one is not, with 2 for a wrong command line, and with 3 without
// the rights for namespaces.
//
// # Cells
//
// The sides of a cell are named after what their NAT lets in or how it maps
// (RFC 4787; package lab says more):
//
//	public     none
//	eif        endpoint-independent mapping and filtering
//	adf        endpoint-independent mapping, address-dependent filtering
//	apdf       endpoint-independent mapping, address-and-port-dependent filtering
//	port       apdf, and the port is not the host's
//	adm        address-dependent mapping
//	seq        a port for every destination, one after the other
//	block      a port for every destination, at random among 512
//	random     a port for every destination, at random
//	openinput  apdf, and what comes too early moves the mapping
//	udpblock   TCP to the ports 80 and 443 only; reject says so by ICMP
//
// Beside these pairs there are two edges in one home, in two homes with one
// prefix, and behind carriers.
//
// # A run
//
// Every run has a lab of its own, with two supernodes on the internet (to
// classify a NAT takes two addresses), which is eight hops long, and the two
// edges A and B behind the NATs of the cell, all fresh. When both are registered with both supernodes, one
// edge (A in every other run, B in the others) sends the first unicast frame
// ever between the two: the first of numbered datagrams over the overlay, 50 a
// second, each of which the other edge's host sends back. From then on both
// edges are asked over their control sockets every 20 ms whether they reach the
// other directly. What is measured is the time until both say so, and how many
// of the datagrams did not come back.
//
// # What must be
//
// A direct cell is direct within 3 s in all runs. A birthday cell, where one
// side has to guess ports, may miss one run in 20, and its routers hold at most
// 1300 connections afterwards. In a relay cell no datagram is lost from the
// first one on, and the path stays relayed; an open cell may be either, without
// loss when it is relayed. With 20 runs or more, a cell that missed once (a
// birthday cell: up to five times) is run on to 100 runs, of which one may miss
// (five).
package main

package main

import "slices"

// matrix is what must hold between the classes of NATs: a row has its class
// with itself and with all that follow. Birthday is where one side has one port
// and the other one has any; in a block, and one after the other, ports can be
// foretold. Two sides of many ports each take too many packets. Two blocks, or
// a block and a sequence, are worth one try.
var matrix = []struct {
	side
	row string
}{
	{eif, "DDDDDDDR"},
	{adf, "DDDDDDR"},
	{apdf, "DBDDBR"},
	{adm, "RRRRR"},
	{seq, "DERR"},
	{block, "ERR"},
	{random, "RR"},
	{udpblock, "R"},
}

// variants are sides that differ from a class of the matrix in something else
// than what counts for it: a host without a NAT is like one that lets everybody
// in, a port that is not the host's own is like one that is.
var variants = []struct {
	a    side
	row  string
	with []side
}{
	{public, "DDDDDDDDR", []side{public, eif, adf, apdf, adm, seq, block, random, udpblock}},
	{port, "DDBDDB", []side{apdf, port, adm, seq, block, random}},
	{reject, "RRR", []side{eif, apdf, udpblock}},
}

// cells are all cells, those of the matrix first.
func cells() (list []cell) {
	for i, m := range matrix {
		for j, want := range []byte(m.row) {
			list = append(list, apart(m.side, matrix[i+j].side, expectation(want)))
		}
	}
	for _, v := range variants {
		for i, want := range []byte(v.row) {
			list = append(list, apart(v.a, v.with[i], expectation(want)))
		}
	}
	return slices.Concat(list, special())
}

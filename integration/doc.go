// Package integration holds the tests of the whole product: the rule of which
// package may import which, and the commands as they run, in a simulated
// internet and in real network namespaces (package lab).
package integration

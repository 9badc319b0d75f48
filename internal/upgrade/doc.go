// Package upgrade is the command "upgrade" of a program that serves: how it is asked by the
// control socket to be replaced by another process, and what it does then. Package handover
// is what passes between the two processes; what they hand over is the program's.
package upgrade

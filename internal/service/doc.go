// Package service is the beginning and the end of a command that serves until it is
// told to stop, as edge and supernode do: it takes the lock of the state directory
// and the control socket from the machine, answers on the socket
// for as long as the work lasts, and gives everything back in the opposite order.
//
// What can go wrong is put into sentences that say what to type, with the
// exit codes of package cli.
package service

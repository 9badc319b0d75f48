// Command demo shows hedgerow at work. It makes a small internet in network
// namespaces of this machine, with a supernode and three edges on it, tells
// what it does and which command a person would type, and takes everything away
// again. It needs root, and the commands in the folder that -bin names.
//
// It ends with 0 when everything that it promised happened, with 1 when
// something did not, and with 3 without the rights for namespaces.
package main

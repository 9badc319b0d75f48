// Package journal keeps records by their keys in two files of one directory that are
// copies of each other. What is written is appended to both and synced before Write
// returns, so that neither the end of the process nor a loss of power takes it away.
//
// A file is a header and slots of one length, each with a checksum of its own. So
// damage costs the slots that it is in, and not those around it, and what one copy has
// lost is read from the other: no damage of one file loses a record. Where both are
// damaged, Open says so.
//
// A slot says which number it was written as and by which boot of the program. Of
// several slots with one key the one with the highest number counts. When most are of no
// use any more, or a copy cannot be written, both files are written anew beside the old
// ones, which they replace.
package journal

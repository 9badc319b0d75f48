// Package waiter lets one loop sleep until any of its sources has something: the
// loop drains all of them without blocking, and only then waits.
//
// Files waits for descriptors; the commands use it on Linux. While traffic flows its
// Wait is a blocking system call of the calling thread: no second thread and no
// poller in between, and with KeepProcessor no hand-over by Go's scheduler. Else,
// and after 20 ms of silence, it is a parked goroutine, which costs an idle process the
// fewest wake-ups.
// Channels waits for tokens in channels, works on every system, and is durably
// blocked in a testing/synctest bubble.
//
// Both have the same methods: Wait, Stop, Sleeps and Close.
package waiter

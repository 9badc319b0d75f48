// Package timer holds the deadlines of a loop that is driven by one goroutine:
// whoever has to do something later sets a Timer, and the loop sleeps until
// Queue.Next and calls Queue.Run. No deadline has to be collected from its owner,
// so none can be forgotten. Time is an argument throughout, which leaves the clock
// to the loop and to tests. Nothing here is safe for concurrent use.
package timer

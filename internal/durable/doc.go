// Package durable writes files that a crash or a loss of power leaves either as
// they were or whole: never empty, never in part.
//
// The order of the steps is what makes that true, and each of them is needed: the
// content goes to a new file in the same directory, the file is synced, it gets the
// wanted name, the directory is synced. A rename alone is atomic for other
// processes but not for the disk: without the first sync the name may reach it
// before the content, and the file is empty after a loss of power; without the
// second one the old file may come back after success was reported.
//
// A sync waits for the disk, for milliseconds or, on a bad day, for seconds: not to
// be called where frames wait.
package durable

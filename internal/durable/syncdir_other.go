//go:build !unix

package durable

// cannotSync reports that directories cannot be synced here: Windows refuses it.
func cannotSync(error) bool { return true }

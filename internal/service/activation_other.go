//go:build !linux

package service

// TakeActivated returns none.
func TakeActivated() Activated { return nil }

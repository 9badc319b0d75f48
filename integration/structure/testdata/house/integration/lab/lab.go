// Package lab is no product code.
package lab

func Forgotten() {}

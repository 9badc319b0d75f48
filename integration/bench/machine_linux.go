package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machine names what the figures were taken on.
func machine(cpus []int) string {
	model := runtime.GOARCH
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	kernel := "?"
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Release[:])
	}
	return fmt.Sprintf("%s, %d processors used of %d, Linux %s, %s", model, len(cpus), runtime.NumCPU(), kernel, runtime.Version())
}

// save writes every sample to a file.
func (c *campaign) save(path string) error {
	text, err := json.MarshalIndent(struct {
		Machine  string
		Time     time.Time
		Stolen   float64 // share of the processors' time
		Outcomes []outcome
	}{machine(c.cpus), time.Now().UTC(), c.stolen, c.outcomes}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

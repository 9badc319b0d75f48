package attack

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// vitals is what a process holds.
type vitals struct {
	resident, peak int64 // bytes
	files, threads int
}

func (v vitals) String() string {
	return fmt.Sprintf("%.1f MiB resident (peak %.1f), %d files, %d threads",
		float64(v.resident)/(1<<20), float64(v.peak)/(1<<20), v.files, v.threads)
}

// vitalsOf reads /proc/PID/status and counts /proc/PID/fd.
func vitalsOf(t *testing.T, pid int) (v vitals) {
	t.Helper()
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	b, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		t.Fatalf("the process is gone: %v", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "VmRSS:":
			v.resident = n << 10
		case "VmHWM:":
			v.peak = n << 10
		case "Threads:":
			v.threads = int(n)
		}
	}
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	v.files = len(files)
	return v
}

// queueOf returns how many bytes wait in a process's sockets on a UDP port, and
// how many datagrams found no room there since they were opened.
func queueOf(t *testing.T, pid int, port uint16) (waiting, lost uint64) {
	t.Helper()
	for _, table := range []string{"udp", "udp6"} {
		b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "net", table))
		if err != nil {
			t.Fatalf("the process is gone: %v", err)
		}
		suffix := fmt.Sprintf(":%04X", port)
		for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
			// proc(5): local address, remote address, state, queues, ..., drops.
			fields := strings.Fields(lines.Text())
			if len(fields) < 13 || !strings.HasSuffix(fields[1], suffix) {
				continue
			}
			_, rx, _ := strings.Cut(fields[4], ":")
			n, _ := strconv.ParseUint(rx, 16, 64)
			drops, _ := strconv.ParseUint(fields[12], 10, 64)
			waiting, lost = waiting+n, lost+drops
		}
	}
	return waiting, lost
}

// lineCount returns how many lines a program has logged.
func lineCount(log string) int { return strings.Count(log, "\n") }

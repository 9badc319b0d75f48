package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ticks is how many units of /proc/stat are a second: USER_HZ, which is 100 on
// every architecture of Go.
const ticks = 100

// times are CPU seconds since some time in the past.
type times struct {
	machine   float64 // of the given processors: all but idle, iowait and steal
	stolen    float64 // of them, by a hypervisor
	processes float64 // of the given processes, user and system
}

func readTimes(cpus, pids []int) (t times, err error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t, err
	}
	t.machine = columns(string(stat), cpus, statBusy...)
	t.stolen = columns(string(stat), cpus, statSteal)
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return t, err
		}
		spent, err := spent(string(stat))
		if err != nil {
			return t, err
		}
		t.processes += spent
	}
	return t, nil
}

// Columns of /proc/stat (proc_stat(5)): user, nice and system, then irq and
// softirq, and steal. What guests used is part of user.
var statBusy = []int{1, 2, 3, 6, 7}

const statSteal = 8

// columns adds up columns of the lines of the processors.
func columns(stat string, cpus []int, which ...int) (seconds float64) {
	for line := range strings.Lines(stat) {
		f := strings.Fields(line)
		if len(f) <= statSteal || !strings.HasPrefix(f[0], "cpu") {
			continue
		}
		number, err := strconv.Atoi(f[0][len("cpu"):])
		if err != nil || !slices.Contains(cpus, number) {
			continue // the first line is the sum of all
		}
		for _, column := range which {
			n, _ := strconv.ParseUint(f[column], 10, 64)
			seconds += float64(n) / ticks
		}
	}
	return seconds
}

// spent is utime and stime of a process (proc_pid_stat(5)). They are counted
// from the end of its name, which may contain anything.
func spent(stat string) (seconds float64, err error) {
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const utime, stime = 14 - 3, 15 - 3
	if len(f) <= stime {
		return 0, fmt.Errorf("strange process status %q", stat)
	}
	for _, column := range []int{utime, stime} {
		n, err := strconv.ParseUint(f[column], 10, 64)
		if err != nil {
			return 0, err
		}
		seconds += float64(n) / ticks
	}
	return seconds, nil
}

// memory is what a process has resident now and had at most, in MB.
func memory(pid int) (now, most float64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range bytes.Lines(status) {
		f := strings.Fields(string(line))
		if len(f) < 2 {
			continue
		}
		// "kB" of this file are KiB.
		kib, _ := strconv.ParseFloat(f[1], 64)
		switch f[0] {
		case "VmRSS:":
			now = kib * 1024 / 1e6
		case "VmHWM:":
			most = kib * 1024 / 1e6
		}
	}
	return now, most, nil
}

// confine keeps this process and all that it will start on its first
// processors, and returns their numbers.
func confine(count int) (cpus []int, err error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return nil, err
	}
	for cpu := 0; len(cpus) < min(count, allowed.Count()); cpu++ {
		if allowed.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus, keepTo(cpus)
}

// keepTo keeps this process to some processors.
func keepTo(cpus []int) error {
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	// Twice: a thread that another one makes meanwhile is met by the second
	// pass, when whoever makes one is confined already.
	for range 2 {
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			id, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, &set); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("keep thread %d on processors %v: %w", id, cpus, err)
			}
		}
	}
	return nil
}

// calm is the share of the processors that others may use before the figures
// are doubtful, and look is how long that is looked at.
const (
	calm = 0.05
	look = time.Second
)

// disturbance returns the share of the processors that others use now.
func disturbance(cpus []int) (share float64, err error) {
	before, err := readTimes(cpus, nil)
	if err != nil {
		return 0, err
	}
	time.Sleep(look)
	after, err := readTimes(cpus, nil)
	return (after.machine - before.machine) / look.Seconds() / float64(len(cpus)), err
}

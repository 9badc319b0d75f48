package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hedgerow/integration/rig"
)

// things is what a demonstration could leave behind on the machine.
type things struct {
	devices    map[string]bool
	namespaces map[string]bool // of networks, with a process or a file that holds them
	processes  map[string]bool // that run the commands shown
	files      map[string]bool
}

// inventory lists what is there now.
func inventory(programs rig.Programs) (things, error) {
	t := things{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}}
	links, err := net.Interfaces()
	if err != nil {
		return t, err
	}
	for _, l := range links {
		t.devices[l.Name] = true
	}
	// A process that ends while we look is no thing.
	for _, pattern := range []string{"/proc/[0-9]*/task/[0-9]*/ns/net", "/proc/[0-9]*/fd/[0-9]*"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return t, err
		}
		for _, path := range paths {
			if target, err := os.Readlink(path); err == nil && strings.HasPrefix(target, "net:[") {
				t.namespaces[target] = true
			}
		}
	}
	programPaths, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return t, err
	}
	for _, path := range programPaths {
		if target, err := os.Readlink(path); err == nil && (target == programs.Edge || target == programs.Supernode) {
			t.processes[filepath.Dir(path)+" "+target] = true
		}
	}
	files, err := filepath.Glob(filepath.Join(os.TempDir(), "hedgerow-demo-*"))
	for _, f := range files {
		t.files[f] = true
	}
	return t, err
}

// unchanged is an error that names what is there now and was not before. The
// kernel takes namespaces away in its own time, a moment later.
func (t things) unchanged(programs rig.Programs) (err error) {
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var now things
		if now, err = inventory(programs); err != nil {
			return err
		}
		err = errors.Join(
			left("device", t.devices, now.devices), left("namespace", t.namespaces, now.namespaces),
			left("process", t.processes, now.processes), left("folder", t.files, now.files))
		if err == nil {
			return nil
		}
	}
	return err
}

func left(what string, before, now map[string]bool) error {
	var more []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if !before[name] {
			more = append(more, name)
		}
	}
	if len(more) == 0 {
		return nil
	}
	return fmt.Errorf("%s left behind: %s", what, strings.Join(more, ", "))
}

// Package process names other processes to people.
package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Command returns a process's command line for display: the program without
// its folder, no keys, no control characters, at most 60 bytes.
func Command(pid int) string {
	raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return "unknown"
	}
	return printableCommand(strings.Split(string(raw), "\x00"))
}

// printableCommand joins the arguments of a foreign process so that they are
// safe for a terminal and a log: it may have chosen them to do harm, and the
// argument of -k is a secret even though the process list shows it too.
func printableCommand(args []string) string {
	const limit = 60
	var out []string
	hide := false
	for i, arg := range args {
		if arg == "" {
			continue
		}
		if i == 0 {
			arg = filepath.Base(arg)
		}
		switch {
		case hide:
			arg, hide = "***", false
		case arg == "--key" || isShortKey(arg):
			hide = true
		case strings.HasPrefix(arg, "--key="):
			arg = "--key=***"
		case strings.HasPrefix(arg, "-k"):
			arg = "-k***" // the key right behind the letter, as getopt allows
		}
		out = append(out, arg)
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, strings.Join(out, " "))
	if text == "" {
		return "unknown"
	}
	if len(text) > limit {
		text = text[:limit-3] + "..."
	}
	return text
}

// isShortKey recognises -k alone and behind other one-letter flags (-vk).
func isShortKey(arg string) bool {
	return len(arg) >= 2 && len(arg) <= 6 && arg[0] == '-' && arg[1] != '-' && arg[len(arg)-1] == 'k'
}

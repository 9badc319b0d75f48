package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// verdict matches ProVerif's word on a query in its closing summary.
var verdict = regexp.MustCompile(`(?m)^Query .* (is true|is false|cannot be proved)\b.*\.$`)

// prove gives a model with one query to ProVerif and returns its verdict on that.
func prove(ctx context.Context, program, model string) (Verdict, error) {
	dir, err := os.MkdirTemp("", "model")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, modelFile)
	if err := os.WriteFile(file, []byte(model), 0o600); err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, program, file).Output()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	list := readSummary(out)
	switch {
	case err != nil:
		return "", fmt.Errorf("ProVerif: %w: %s", err, lastLines(out))
	case len(list) != 1:
		return "", fmt.Errorf("ProVerif says %d verdicts on one query: %s", len(list), lastLines(out))
	}
	return list[0], nil
}

// readSummary returns the verdicts of ProVerif's closing summary.
func readSummary(out []byte) (list []Verdict) {
	_, summary, _ := bytes.Cut(out, []byte("Verification summary:"))
	for _, m := range verdict.FindAllSubmatch(summary, -1) {
		list = append(list, Verdict(strings.TrimPrefix(string(m[1]), "is ")))
	}
	return list
}

// version returns what ProVerif calls itself.
func version(program string) (string, error) {
	out, err := exec.Command(program, "-help").Output()
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(out), ".\n")
	line, _, _ = strings.Cut(line, ". ")
	return strings.TrimSpace(line), nil
}

// lastLines returns the end of an output.
func lastLines(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

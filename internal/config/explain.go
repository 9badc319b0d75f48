package config

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"hedgerow/internal/cli"
)

// said is a fault in other words.
type said struct {
	text string
	err  error
}

// Error returns the words.
func (s *said) Error() string { return s.text }

// Unwrap returns the fault.
func (s *said) Unwrap() error { return s.err }

// list returns the faults that an error of cli.Faults is made of, or the error itself.
func list(err error) []error {
	if err == nil {
		return nil
	}
	var whole *cli.Error
	if errors.As(err, &whole) {
		if parts, ok := whole.Err.(interface{ Unwrap() []error }); ok {
			return parts.Unwrap()
		}
	}
	return []error{err}
}

// optionWord matches an option as messages spell it.
var optionWord = regexp.MustCompile(`(^|[^\w-])--?([A-Za-z][\w-]*)`)

// explain returns a fault with the options that were not typed by the names of where they
// were given, and where that is. ok is false if it is about none of them.
func explain(fault error, settings []setting) (err error, ok bool) {
	var first *setting
	text := optionWord.ReplaceAllStringFunc(fault.Error(), func(word string) string {
		m := optionWord.FindStringSubmatch(word)
		s := elsewhere(settings, func(s setting) bool { return slices.Contains(s.flag.Names(), m[2]) })
		switch {
		case s == nil:
			return word
		case first == nil:
			first = s
		}
		if s.source.Kind == FromEnvironment {
			return m[1] + s.source.Name
		}
		return m[1] + s.key
	})
	if first == nil {
		first = elsewhere(settings, func(s setting) bool { return s.mentioned(text) })
	}
	switch {
	case first == nil:
		return fault, false
	case first.source.Kind == FromFile:
		text = first.source.Name + ": " + text
	case !strings.Contains(text, first.source.Name):
		text = first.source.Name + ": " + text
	}
	return &said{text: text, err: fault}, true
}

// elsewhere returns the first setting of the environment or the file that is meant.
func elsewhere(settings []setting, meant func(setting) bool) *setting {
	for i, s := range settings {
		if (s.source.Kind == FromEnvironment || s.source.Kind == FromFile) && meant(s) {
			return &settings[i]
		}
	}
	return nil
}

// shortestMentioned is the number of bytes from which on a value is known in a message.
const shortestMentioned = 3

// mentioned reports whether a message has the value.
func (s setting) mentioned(message string) bool {
	if s.kind == toggle || s.kind == level || s.secret(s.texts) {
		return false
	}
	return slices.ContainsFunc(s.texts, func(v string) bool { return len(v) >= shortestMentioned && strings.Contains(message, v) })
}

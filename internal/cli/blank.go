package cli

import (
	"os"
	"strings"

	"hedgerow/internal/invite"
)

// TakeArgs returns a copy of the process's arguments and then overwrites, in
// the original, the values of the options in secret ("k", "key") and invites, so
// that the list of processes no longer shows them. It must be the first thing that main
// does, and nothing may read os.Args after it. What remains is the moment
// before, and the shell's history: the caller still warns.
func TakeArgs(secret ...string) []string {
	args := make([]string, len(os.Args))
	for i, a := range os.Args {
		args[i] = strings.Clone(a) // an alias would be overwritten, too
	}
	for _, s := range secretParts(os.Args, secret) {
		overwrite(s)
	}
	return args
}

// secretParts returns the parts of args that are values of the secret options, or
// invites, as slices of the same memory. It finds all spellings that the parser accepts
// ("-k v", "-k=v", "--key v", "-vk v"), and rather one too many than one too
// few: the originals are not read again.
func secretParts(args []string, secret []string) []string {
	var parts []string
	for i := 1; i < len(args); i++ {
		if invite.IsInvite(args[i]) {
			parts = append(parts, args[i])
			continue
		}
		if !strings.HasPrefix(args[i], "-") {
			continue
		}
		name, value, inOne := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if !names(args[i], name, secret) {
			continue
		}
		if inOne {
			parts = append(parts, value)
		} else if i+1 < len(args) {
			i++
			parts = append(parts, args[i])
		}
	}
	return parts
}

// names reports whether arg, whose option part is name, names a secret option,
// alone or as the last of several short ones in one word.
func names(arg, name string, secret []string) bool {
	for _, s := range secret {
		cluster := len(s) == 1 && !strings.HasPrefix(arg, "--") && strings.HasSuffix(name, s)
		if name == s || cluster {
			return true
		}
	}
	return false
}

// Package cli is what the commands edge and supernode share towards their user: exit codes, the refusal of left-over arguments, counted
// verbosity, the log, the environment, the directories for state and sockets, and
// the options and sub-commands that both have. What they share when they serve is
// package service.
//
// It closes the traps of urfave/cli: an argument that no command has is an
// error instead of the silent end of all options, -v counts instead of
// printing the version, wrong usage exits with 2, and an environment variable
// that is set to nothing counts as not set.
package cli

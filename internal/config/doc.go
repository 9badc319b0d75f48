// Package config reads the configuration of the commands edge and supernode from where it
// may stand besides the command line: environment variables, and a file in TOML. Both name
// their values by the options of the command, so that each option has its key and its
// variable. What the command line does not give is set as if it had, and the command reads
// its options as ever; a fault of such a value names the variable, or the file and the line.
package config

package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
)

func main() {
	inJSON := flag.Bool("json", false, "print everything that was measured, as JSON")
	verbose := flag.Bool("v", false, "name the long functions, the cycles, and the files and functions of stories")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: go run ./integration/structure [-json] [-v] [DIR ...]")
		flag.PrintDefaults()
	}
	flag.Parse()
	dirs := flag.Args()
	if len(dirs) == 0 {
		dirs = []string{"."}
	}
	var reports []report
	for _, dir := range dirs {
		r, err := measure(dir, stories)
		if err != nil {
			fmt.Fprintf(os.Stderr, "structure: %v\n", err)
			os.Exit(1)
		}
		reports = append(reports, r)
	}
	if *inJSON {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", " ")
		if err := e.Encode(reports); err != nil {
			fmt.Fprintf(os.Stderr, "structure: %v\n", err)
			os.Exit(1)
		}
		return
	}
	fmt.Print(text(reports, *verbose))
}

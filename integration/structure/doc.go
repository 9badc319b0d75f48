// Command structure measures how a checkout of hedgerow is built: how large its
// types and functions are, which files and packages know each other, and how many
// files a reader opens to follow one story. It needs no root.
//
//	go run ./integration/structure                  (this checkout)
//	go run ./integration/structure BEFORE AFTER     (two checkouts, side by side)
//	go run ./integration/structure -v               (also names what it counts)
//	go run ./integration/structure -json
//
// It ends with 0, with 1 when a checkout cannot be read, and with 2 for a wrong
// command line. The limits that the code is held to are a test beside it.
//
// # What is counted
//
// Product packages only, without their tests and without test doubles, as built
// for the system that it runs on. Code is type-checked, so a name is what the
// compiler takes it for.
//
// Methods are those declared for a type; those that come to it from embedded types
// of ours are listed behind a plus sign. Fields are those that can be named
// without naming a substate: an embedded struct of ours stands for its fields. The
// number of fields in the struct itself, embedded ones counted as one each, is
// listed beside that.
//
// The lines of a function are those from func to its closing brace. The depth of a
// statement is the number of conditions, loops, selections and function literals
// around it; an else-if is as deep as its if.
//
// # Cycles
//
// A cycle of files is a set of files of one package of which each leads to each
// other one (a strongly connected component); the largest is listed. A file leads
// to another one
//
//   - by names: it mentions anything that is declared there (type, variable,
//     constant, function, method);
//   - by calls: it mentions a function or a method that has its body there;
//   - by calls through interfaces: that, and a method of an interface stands for
//     the methods of ours that implement it;
//   - among the methods of the largest type: its methods there call its methods
//     here, and nothing else is looked at.
//
// # Stories
//
// A story is told by a table (stories.go): the functions at which it begins, or
// goes on after a message or a wait; those at which a reader stops because their
// names are enough; and forks, which hand on to other stories as well, so that they
// are read but not followed. What is between is found by following calls, through
// interfaces too, in the package edge and the packages below it. A function that is
// handed over as a value is followed from where it is named. A function of up to
// three lines is believed by its name. The files that hold the rest are counted.
// Beside that stands how many files there are when nobody stops anywhere, which no
// table can flatter.
package main

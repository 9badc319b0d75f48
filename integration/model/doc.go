// Command model checks the formal model of the wire (docs/model): it gives each case of
// docs/model/cases.txt to ProVerif and compares what that proves and refutes with what
// the case says it has to. Cases with a planted flaw are there to be refuted: a model in
// which no flaw is found says nothing.
//
// It exits with 0 when every answer is as it has to be, with 1 when one is not, and with
// 3 when there is no ProVerif. With -record it notes in docs/model/checked.txt which
// files were checked, and the package's test fails when they were changed since.
package main

// Package docs tests the documents: every command in them is one that there is,
// with its options, and every link in them leads somewhere. It needs no root, and
// runs none of these commands but for their help.
package docs

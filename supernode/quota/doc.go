// Package quota counts how many bytes a supernode relays in a calendar month, in UTC: in
// all, for each community, for each identity and for each source, which is an IPv4 address
// or an IPv6 /64. Whoever has reached a limit is relayed again when the next month begins.
//
//	Table   what everybody has used in this month (table.go)
//	Payer   whose counters a registration's packets go to, so that counting one looks
//	        nothing up (table.go)
//	Keeper  brings the counters to the disk, and from there (keeper.go, file.go)
//
// A Table is bounded. When it is full a newcomer takes the place of the one who has used
// least among sixteen (as the Space-Saving algorithm of Metwally, Agrawal and El Abbadi, 2005,
// does among all), and begins at zero. The others have used as much at least, so that nobody is
// forgotten who has used more than a sixteenth of what was relayed in all.
package quota

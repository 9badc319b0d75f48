package crypto

import "golang.org/x/sys/cpu"

// HardwareAES reports whether the CPU has instructions for AES and for
// carry-less multiplication, so that AES-256-GCM is both the faster transform
// and free of tables that leak through the cache. Without them use
// ChaCha20-Poly1305.
func HardwareAES() bool {
	return cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ ||
		cpu.ARM64.HasAES && cpu.ARM64.HasPMULL ||
		cpu.S390X.HasAES && cpu.S390X.HasGHASH
}

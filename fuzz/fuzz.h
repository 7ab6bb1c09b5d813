/* What every fuzzer begins with: libFuzzer's entry, which no header declares, and the oracle. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Else the input is a finding. */
#define MUST(cond)                                                                                 \
	do {                                                                                       \
		if (!(cond))                                                                       \
			die("%s", #cond);                                                          \
	} while (0)

#endif

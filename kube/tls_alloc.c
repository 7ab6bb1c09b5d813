/*
 * mbedTLS allocates through the wiping allocators, so that no key, token or password outlives its
 * use on the heap. Called once by kube_new, before curl starts mbedTLS. Tests and fuzzers link
 * the machine's libcurl and its TLS library, which keep their own.
 */
#if !defined(TESTING) && !defined(FUZZING)
#include <mbedtls/platform.h>
#endif

#include "kube/http.h"

void
tls_alloc_init(void)
{
#if !defined(TESTING) && !defined(FUZZING)
	if (mbedtls_platform_set_calloc_free(wipe_calloc, wipe_free) != 0)
		die("mbedtls_platform_set_calloc_free");
#endif
}

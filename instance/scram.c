/*
 * The SCRAM-SHA-256 verifier of a password, as PostgreSQL stores it (RFC 5802, 7677; PostgreSQL
 * src/common/scram-common.c), so that no clear-text password is ever part of an SQL statement, a
 * log line or pg_stat_statements.
 */
#include <mbedtls/base64.h>
#include <mbedtls/md.h>

#include "instance/pgctl.h"

#define KEY 32

static void
hmac(const void *key, size_t key_len, const void *p, size_t n, uint8_t out[KEY])
{
	if (mbedtls_md_hmac(
		mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), key, key_len, p, n, out) != 0)
		die("HMAC-SHA-256 failed");
}

/* PBKDF2 with one block, which is RFC 5802's Hi(). */
static void
salted_password(
    const struct secret *password, const uint8_t salt[16], unsigned iterations, uint8_t out[KEY])
{
	uint8_t first[20], u[KEY];

	memcpy(first, salt, 16);
	memcpy(first + 16, "\0\0\0\1", 4);
	hmac(password->p, password->len, first, sizeof(first), u);
	memcpy(out, u, KEY);
	for (unsigned i = 1; i < iterations; i++) {
		hmac(password->p, password->len, u, KEY, u);
		for (unsigned k = 0; k < KEY; k++)
			out[k] ^= u[k];
	}
	explicit_bzero(u, sizeof(u));
}

static void
base64(const void *p, size_t n, char out[64])
{
	size_t len;

	if (mbedtls_base64_encode((unsigned char *)out, 64, &len, p, n) != 0)
		die("base64 of %zu bytes failed", n);
}

int
scram_verifier(const struct secret *password, const uint8_t salt[16], unsigned iterations,
    char out[SCRAM_SIZE], struct err *e)
{
	uint8_t salted[KEY], client[KEY], stored[KEY], server[KEY];
	char salt_text[64], stored_text[64], server_text[64];

	/* PostgreSQL and its clients normalise other passwords (SASLprep) before they hash */
	if (password->len == 0 ||
	    !charset_ok(CHARS_PRINT, (struct str){password->p, password->len}))
		return err_set(e, ERR_INVALID, "the password is empty or not printable ASCII");
	salted_password(password, salt, iterations, salted);
	hmac(salted, KEY, "Client Key", 10, client);
	hmac(salted, KEY, "Server Key", 10, server);
	if (mbedtls_md(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), client, KEY, stored) != 0)
		die("SHA-256 failed");
	base64(salt, 16, salt_text);
	base64(stored, KEY, stored_text);
	base64(server, KEY, server_text);
	if (snprintf(out, SCRAM_SIZE, "SCRAM-SHA-256$%u:%s$%s:%s", iterations, salt_text,
		stored_text, server_text) >= SCRAM_SIZE)
		die("a verifier does not fit");
	explicit_bzero(salted, sizeof(salted));
	explicit_bzero(client, sizeof(client));
	return 0;
}

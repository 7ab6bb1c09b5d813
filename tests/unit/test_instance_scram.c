/* RFC 7677's example: verifier, client proof and server signature belong together. */
#include <mbedtls/base64.h>
#include <mbedtls/md.h>

#include "instance/pgctl.h"
#include "tests/unit/tap.h"

static const char auth_message[] =
    "n=user,r=rOprNGfwEbeRWgbNEkqO,"
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";

static void
unbase64(const char *text, size_t len, uint8_t out[32])
{
	size_t n = 0;

	if (mbedtls_base64_decode(out, 32, &n, (const unsigned char *)text, len) != 0)
		memset(out, 0, 32);
}

static void
secret_of(struct secret *s, const char *text)
{
	secret_alloc(s, strlen(text) + 1);
	memcpy(s->p, text, strlen(text));
	s->len = strlen(text);
}

static int
refused(const char *text)
{
	static const uint8_t salt[16];
	char out[SCRAM_SIZE];
	struct secret s = {0};
	struct err e;
	int r;

	secret_of(&s, text);
	r = scram_verifier(&s, salt, 4096, out, &e);
	secret_free(&s);
	return r;
}

int
main(void)
{
	const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
	uint8_t salt[32], stored[32], server[32], expected[32], proof[32], key[32], hash[32];
	char out[SCRAM_SIZE];
	struct secret password = {0};
	const char *keys;
	struct err e;

	secret_of(&password, "pencil");
	unbase64("W22ZaJ0SNY7soEsUEjb6gQ==", 24, salt);
	CHECK(scram_verifier(&password, salt, 4096, out, &e) == 0, "a verifier is made");
	CHECK(strncmp(out, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$", 44) == 0,
	    "as PostgreSQL spells it");
	keys = out + 44;
	CHECK(strlen(keys) == 44 + 1 + 44 && keys[44] == ':', "two keys");
	unbase64(keys, 44, stored);
	unbase64(keys + 45, 44, server);
	(void)mbedtls_md_hmac(sha256, server, 32, (const unsigned char *)auth_message,
	    sizeof(auth_message) - 1, hash);
	unbase64("6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", 44, expected);
	CHECK(memcmp(hash, expected, 32) == 0, "ServerKey signs as in the RFC");
	(void)mbedtls_md_hmac(sha256, stored, 32, (const unsigned char *)auth_message,
	    sizeof(auth_message) - 1, hash);
	unbase64("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", 44, proof);
	for (int i = 0; i < 32; i++)
		key[i] = proof[i] ^ hash[i];
	(void)mbedtls_md(sha256, key, 32, hash);
	CHECK(memcmp(hash, stored, 32) == 0, "StoredKey accepts the RFC's proof");
	CHECK(refused("") == -1, "no empty password");
	CHECK(refused("p\xc3\xa4ss") == -1, "none that clients would normalise");
	CHECK(refused("a\nb") == -1, "none with a control character");
	CHECK(refused("~ !\"'\\") == 0, "all printable ASCII");
	secret_free(&password);
	return tap_done();
}

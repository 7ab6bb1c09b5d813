/* How long a program that died stays away. Pure; spawn.c and keeper.c ask. */
#include "instance/instance.h"

int64_t
backoff_next_ms(struct backoff *b, bool productive, uint32_t random)
{
	int64_t ms = BACKOFF_FIRST_MS;

	if (productive) {
		b->deaths = 0;
		return 0;
	}
	for (unsigned i = 0; i < b->deaths && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	if (b->deaths < 32)
		b->deaths++;
	return ms - ms / 5 + (int64_t)(random % (uint32_t)(2 * (ms / 5) + 1));
}

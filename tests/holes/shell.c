/* In the place of every shell: leaves a mark. */
#include <fcntl.h>

int main(void)
{
    return open(MARK, O_WRONLY | O_CREAT, 0644) < 0;
}

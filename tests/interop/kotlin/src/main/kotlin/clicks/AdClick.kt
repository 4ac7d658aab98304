package clicks

/** A click on an advertisement; the cost is in millionths of the currency. */
data class AdClick(
    val number: Int,
    val adId: String,
    val campaign: String,
    val userId: String,
    val clickedAt: Long,
    val costMicros: Long,
)

/** The click of a number: the same for everybody who asks, so that readers know what to expect. */
fun clickOf(number: Int, clickedAt: Long) = AdClick(
    number = number,
    adId = "ad-${number % 17}",
    campaign = if (number % 3 == 0) "Frühling" else "summer",
    userId = "user-${number % 50}",
    clickedAt = clickedAt,
    costMicros = 1_000L * number,
)

-- Lead conversion funnel by month of creation and source: leads, those converted, those that became
-- an opportunity, those that were won, and the median days between the steps.
SELECT
    date_trunc('month', l.CreatedDate)::DATE AS month,
    coalesce(l.LeadSource, '(none)') AS source,
    count(*) AS leads,
    count(*) FILTER (WHERE l.IsConverted) AS converted,
    count(o.Id) AS with_opportunity,
    count(*) FILTER (WHERE o.IsWon) AS won,
    round(count(*) FILTER (WHERE l.IsConverted) / count(*), 4) AS conversion_rate,
    median(date_diff('day', l.CreatedDate::DATE, l.ConvertedDate)) AS median_days_to_conversion,
    median(date_diff('day', l.ConvertedDate, o.CloseDate)) FILTER (WHERE o.IsWon)
        AS median_days_from_conversion_to_win,
    sum(o.Amount) FILTER (WHERE o.IsWon) AS amount_won
FROM silver.lead AS l
LEFT JOIN silver.opportunity AS o ON o.Id = l.ConvertedOpportunityId
GROUP BY 1, 2
ORDER BY month DESC, leads DESC, source

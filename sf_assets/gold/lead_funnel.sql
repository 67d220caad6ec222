-- Lead conversion funnel by month of creation, source and currency: leads, those converted, those
-- that became an opportunity, those that were won, and the median days between the steps. The
-- currency is the opportunity's, else the lead's. Amounts of 10^27 or more, which no field of
-- Salesforce holds, are left out.
SELECT
    date_trunc('month', l.CreatedDate)::DATE AS month,
    coalesce(l.LeadSource, '(none)') AS source,
    coalesce(o.CurrencyIsoCode, l.CurrencyIsoCode) AS currency,
    count(*) AS leads,
    count(*) FILTER (WHERE l.IsConverted) AS converted,
    count(o.Id) AS with_opportunity,
    count(*) FILTER (WHERE o.IsWon) AS won,
    round(count(*) FILTER (WHERE l.IsConverted) / count(*), 4) AS conversion_rate,
    median(date_diff('day', l.CreatedDate::DATE, l.ConvertedDate)) AS median_days_to_conversion,
    median(date_diff('day', l.ConvertedDate, o.CloseDate)) FILTER (WHERE o.IsWon)
        AS median_days_from_conversion_to_win,
    sum(CASE WHEN abs(CAST(o.Amount AS DOUBLE)) < 1e27 THEN CAST(o.Amount AS DECIMAL(29, 2)) END)
        FILTER (WHERE o.IsWon) AS amount_won
FROM silver.lead AS l
LEFT JOIN silver.opportunity AS o ON o.Id = l.ConvertedOpportunityId
GROUP BY 1, 2, 3
ORDER BY month DESC, leads DESC, source, currency
